"""Measures the firmware's MQTT clients against others, as ratios within one run."""
