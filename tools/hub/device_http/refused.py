"""What the gateway answers when it does not do what was asked."""


class Refused(Exception):
    """`code` and the text are the `Code` and `Message` of the answer's `Error`.

    The documents list no codes; these follow the names of the vendor's cloud API.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
