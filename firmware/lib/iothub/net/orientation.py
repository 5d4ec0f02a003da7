"""What `hub.help()` shows at the REPL. It is printed when loaded: as a string that somebody keeps
it would cost heap."""

print("""\
hub.publish("event", "hello", qos=1)   returns when the cloud has it
hub.listen(10)                         prints what comes, for 10 s
hub.subscribe("data", qos=1)           besides control and data; also a topic of yours
hub.set_callback(f)                    f(topic, msg) in place of printing
hub.disconnect(); hub.connect()
from iothub import doctor; doctor.run("device.json")   why it does not connect
An error says what to do: print(error), error.hint""")
