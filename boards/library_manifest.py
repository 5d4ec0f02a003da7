# What every board's manifest freezes: the library, and the client that it subclasses.
metadata(description="A device of Tencent Cloud IoT Hub", version="0.1.0")
package("iothub", base_path="../firmware/lib", opt=3)
package("umqtt", base_path="../firmware/lib", opt=3)
