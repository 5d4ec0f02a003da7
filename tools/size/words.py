"""What the report says beside its figures, in English and Chinese."""

from tools.size.plan import AT_ONCE, EVERYTHING

TITLE = ("What it costs on an RP2040", "RP2040 上的开销")
OTHER = ("[中文](cost.zh-CN.md)", "[English](cost.md)")
INTRODUCTION = (
    """\
Measured by `make size` on the emulated Pico W (RP2040 at 125 MHz) with the stock image {image},
from .mpy files. A limit is what was aimed at; a figure above it makes the command fail.""",
    """\
由 `make size` 在仿真的 Pico W（RP2040，125 MHz）上用官方镜像 {image} 测得，代码来自 .mpy 文件。
上限是原定目标；任何数字超过上限，该命令即失败。""",
)

# Of each section: its title, and what stands in the table of contents; both in both languages.
HEAP = (("Heap", "堆"), ("what modules hold once they are loaded", "模块加载后占用多少"))
MODULES = (("Modules", "模块"), ("the same, file by file", "同上，逐个文件"))
PEAKS = (("Peak heap", "峰值堆"), ("how much more their work takes", "工作时还需要多少"))
OPERATIONS = (
    ("Operations", "操作"),
    ("how long one takes, and what it allocates", "一次操作的时间和分配"),
)
RATIOS = (
    ("Ratios", "比值"),
    ("compared with what they cannot do without", "与必不可少的部分相比"),
)
BYTECODE = (("Bytecode", "字节码"), ("all files together", "所有文件合计"))
PEERS = (("Peers", "同类"), ("what other libraries take", "其他库的开销"))
SECTIONS = (HEAP, MODULES, PEAKS, OPERATIONS, RATIOS, BYTECODE, PEERS)

HEAP_NOTE = (
    f"""\
The difference of `gc.mem_alloc()` after `gc.collect()`. "{EVERYTHING}" adds up all
modules of the next table, also those that the library lets go of after a moment (by
`iothub.loading`); "{AT_ONCE}" loads what stays, without these and
without the blocking client, which stands in the place of `Device`.""",
    f"""\
`gc.collect()` 之后 `gc.mem_alloc()` 的差值。“{EVERYTHING}”
是下表所有模块之和，包括用完即由库释放（`iothub.loading`）的模块；“{AT_ONCE}”
只加载会留下的模块，不含前者，也不含代替 `Device` 的阻塞客户端。""",
)
MODULES_NOTE = (
    """\
Each file with what it adds to those above it. Files whose name is all they have, so that an import
of the sources finds what lies elsewhere, and the texts of errors, are not in it.""",
    """\
每个文件在其上方各文件之外增加的开销。
不含只有名字的文件（按源码写的 import 由此找到别处的内容）和错误文本。""",
)
PEAKS_NOTE = (
    """\
Above what was in use before, at the most and afterwards (below 0 where code was let go of),
with the local hub at the other end of the board's UARTs, whose buffers are not included. A
timer looks every 16 ms, for TLS also in the middle of a call of C. Meanwhile the collector runs
every 64 bytes that are allocated and for the update every 512: so much of these figures may be
garbage; TLS makes none. The receive
buffer of 16,384 bytes is made for the first large message in the place of one of 1,024, and
there for the second; a handler gets a copy of a message or, by `Session.register`, a view. TLS
includes its context, one trust anchor and the own certificate. Modules that stay were loaded
before, but for those of the download.""",
    """\
相对于之前的占用：最多时和之后（小于 0：有代码被释放）。
板子的 UART 另一端是本地 hub，UART 缓冲区不计入。
定时器每 16 ms 查看一次，TLS 在 C 调用中途也看。
同时每分配 64 字节即回收一次，升级为 512 字节：这些数字中至多有这么多是垃圾；TLS 不产生垃圾。
16,384 字节的接收缓冲区在第一条大消息时建立，取代 1,024 字节的，第二条时已存在；
处理函数得到消息的副本，用 `Session.register` 也可得到视图。
TLS 含上下文、一个信任锚和自己的证书。会留下的模块已事先加载，下载所用的除外。""",
)
OPERATIONS_NOTE = (
    """\
Simulated time, the least of 20 runs, each after `gc.collect()`; allocated is what one run leaves
behind. What takes long ran once, and what it allocates is not counted.""",
    """\
模拟时间，20 次中最短的一次，每次都在 `gc.collect()` 之后；“分配”是一次运行后留下的字节数。
耗时长的只运行一次，其分配不计。""",
)
PEERS_NOTE = (
    """\
The first rows are of this run. Those of mpy-cross and clang were compiled from their sources,
without a board; all others are as published. Machine code stands for its own chip only.""",
    """\
前几行来自本次运行。注明 mpy-cross 和 clang 的由其源码编译而得，没有上板；其余为公开数字。
机器码的大小只对其芯片有意义。""",
)
THIS_RUN = ("this run", "本次运行")
CHINESE = {
    "modules": "模块",
    "heap after import (bytes)": "导入后的堆（字节）",
    "limit (bytes)": "上限（字节）",
    "heap of its objects (bytes)": "其对象的堆（字节）",
    ".mpy (bytes)": ".mpy（字节）",
    "module": "模块",
    "heap (bytes)": "堆（字节）",
    "work": "工作",
    "peak (bytes)": "峰值（字节）",
    "kept (bytes)": "留下（字节）",
    "operation": "操作",
    "time (µs)": "时间（µs）",
    "allocated (bytes)": "分配（字节）",
    "operation / reference": "操作 / 参照",
    "times": "倍数",
    "limit": "上限",
    "files": "文件",
    "bytes": "字节",
    "library": "库",
    "what": "内容",
    "heap or RAM": "堆或 RAM",
    "code": "代码",
    "source": "来源",
}
