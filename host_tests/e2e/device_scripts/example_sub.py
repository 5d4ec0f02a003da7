import time

from umqtt.simple import MQTTClient

# The sequence of calls of umqtt.simple's own example_sub, which waits for messages or looks for
# them from time to time.


def on_message(topic, msg):
    print((topic, msg))


def main(server="localhost", waiting=True):
    client = MQTTClient("umqtt_client", server)
    client.set_callback(on_message)
    client.connect()
    client.subscribe(b"foo_topic")
    print("subscribed")
    while True:
        if waiting:
            client.wait_msg()
        else:
            client.check_msg()
            time.sleep(0.05)
