from iothub.device import Device as Device
from iothub.errors import BadInput as BadInput
from iothub.errors import IoTHubError as IoTHubError
from iothub.errors import LinkError as LinkError
from iothub.errors import LoginRefused as LoginRefused
from iothub.net.repl import connect as connect
