from umqtt.simple import MQTTClient

# The sequence of calls of umqtt.simple's own example_pub.


def main(server="localhost"):
    client = MQTTClient("umqtt_client", server)
    client.connect()
    client.publish(b"foo_topic", b"hello")
    client.disconnect()
