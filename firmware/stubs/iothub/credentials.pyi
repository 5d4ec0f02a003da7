class Identity:
    product_id: str
    device_name: str
    client_id: bytes
    prefix: bytes
    def __init__(self, product_id: str, device_name: str) -> None: ...
