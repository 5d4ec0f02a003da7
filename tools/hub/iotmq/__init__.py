"""IoT MQ, the older service: instances with created topics, under MQTT 3.1.1's own rules."""
