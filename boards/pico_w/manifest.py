# Freezes the library into an image of your own: docs/hardware.md, "An image of your own".
include("$(MPY_DIR)/ports/rp2/boards/RPI_PICO_W/manifest.py")
include("../library_manifest.py")
