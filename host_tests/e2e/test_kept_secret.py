"""Where the configuration keeps the product secret, the device's own is in a journal. The doctor
finds it there, as the device does."""

from host_tests.conftest import requires
from host_tests.e2e.device_program import run_text
from tools.bench.mosquitto import Mosquitto

PROGRAM = """
import json, sys
from iothub import doctor
from iothub.net.register import JOURNAL
from iothub.port import storage
from iothub.store.journal import Journal

fields = {
    "product_id": "ABCDE12345",
    "device_name": "dev",
    "keep_product_secret": True,
    "transport": "tcp",
    "host": "127.0.0.1",
    "port": int(sys.argv[1]),
}
given = {"device_secret": "c2VjcmV0c2VjcmV0"}
Journal(storage(), JOURNAL, 4096).save(json.dumps(dict(fields, **given)).encode())
with open("device.json", "w") as file:
    file.write(json.dumps(dict(fields, product_secret="abcdefgh12345678abcd")))
print(json.dumps(doctor.run("device.json")))
"""


@requires("mosquitto")
def test_the_doctor_finds_it(tmp_path):
    with Mosquitto(tmp_path) as broker:
        assert run_text(PROGRAM, tmp_path, str(broker.port)) is True
