"""`python -m tools.faults --target HOST:PORT`: the proxy as a process of its own. It prints where
it listens, and takes `cut rst`, `cut fin`, `cut stall`, `heal` and `quit`, a line each, from its
standard input; it ends with that input."""

import argparse
import asyncio
import selectors
import sys

from tools.faults.flow import Cut, Faults, Flow
from tools.faults.proxy import FaultProxy


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host, int(port)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.faults", description=__doc__)
    parser.add_argument("--target", type=_address, required=True, metavar="HOST:PORT")
    parser.add_argument(
        "--listen",
        type=_address,
        default=("127.0.0.1", 0),
        metavar="HOST:PORT",
        help="port 0: any",
    )
    parser.add_argument("--delay-ms", type=float, default=0, help="added in each direction")
    parser.add_argument("--bytes-per-s", type=float, help="limit in each direction")
    parser.add_argument("--piece-bytes", type=int, help="longest piece in each direction")
    for direction in ("up", "down"):
        parser.add_argument(
            f"--cut-{direction}-after-bytes", type=int, metavar="N", help="ends each link there"
        )
    parser.add_argument("--cut", type=Cut, choices=list(Cut), default=Cut.RST, help="how")
    return parser.parse_args()


def _flow(options: argparse.Namespace, cut_after_bytes: int | None) -> Flow:
    return Flow(
        delay_ms=options.delay_ms,
        bytes_per_s=options.bytes_per_s,
        piece_bytes=options.piece_bytes,
        cut_after_bytes=cut_after_bytes,
        cut=options.cut,
    )


async def _serve(options: argparse.Namespace) -> None:
    faults = Faults(
        _flow(options, options.cut_up_after_bytes), _flow(options, options.cut_down_after_bytes)
    )
    host, port = options.listen
    commands = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(commands), sys.stdin
    )
    async with FaultProxy(options.target, faults, host=host, port=port) as proxy:
        print(f"{proxy.host}:{proxy.port}", flush=True)
        while line := await commands.readline():
            match line.decode().split():
                case ["quit"]:
                    return
                case ["heal"]:
                    proxy.heal()
                case ["cut", ("rst" | "fin" | "stall") as how]:
                    proxy.cut(Cut(how))
                case _:
                    print("commands: cut rst|fin|stall, heal, quit", file=sys.stderr, flush=True)


def _precise_loop() -> asyncio.AbstractEventLoop:
    # epoll counts in milliseconds and rounds up; select in microseconds. A delay needs the latter.
    return asyncio.SelectorEventLoop(selectors.SelectSelector())


def main() -> int:
    options = _arguments()
    with asyncio.Runner(loop_factory=_precise_loop) as runner:
        try:
            runner.run(_serve(options))
        except KeyboardInterrupt:
            return 130
        except OSError as error:
            print(f"cannot listen on {options.listen}: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
