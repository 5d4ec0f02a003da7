"""The boards of boards/, a folder each: what they are, and what each can do (`make boards`)."""

from tools.boards.description import Board, board_keys, read_board
from tools.boards.errors import BoardError

__all__ = ["Board", "BoardError", "board_keys", "read_board"]
