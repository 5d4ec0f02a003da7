"""Updates of devices (OTA): firmware that is uploaded, rolled out and followed (documents
"设备固件升级" and "子设备固件升级", PROTOCOL.md 7)."""
