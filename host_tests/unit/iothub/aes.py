"""AES-128-CBC without padding, from cryptolib or, under CPython, the cryptography package."""

try:
    from cryptolib import aes

    _CBC = 2

    def encrypt(key, iv, data):
        return aes(key, _CBC, iv).encrypt(data)

    def decrypt(key, iv, data):
        return aes(key, _CBC, iv).decrypt(data)

except ImportError:
    from cryptography.hazmat.primitives.ciphers import (  # type: ignore[import-not-found]
        Cipher,
        algorithms,
        modes,
    )

    def encrypt(key, iv, data):
        worker = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
        return worker.update(data) + worker.finalize()

    def decrypt(key, iv, data):
        worker = Cipher(algorithms.AES(key), modes.CBC(iv)).decryptor()
        return worker.update(data) + worker.finalize()
