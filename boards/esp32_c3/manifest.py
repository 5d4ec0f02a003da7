# Freezes the library into an image of your own: docs/hardware.md, "An image of your own".
include("$(MPY_DIR)/ports/esp32/boards/manifest.py")
include("../library_manifest.py")
