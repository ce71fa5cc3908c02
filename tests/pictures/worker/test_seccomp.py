"""The filter of system calls, as the kernel would run it."""

from __future__ import annotations

import errno
import mmap
import struct

from twisted.trial.unittest import SynchronousTestCase

from imgd.pictures.worker import seccomp

X86_64, AARCH64, I386 = 0xC000003E, 0xC00000B7, 0x40000003
ALLOW, REFUSE, KILL = 0x7FFF0000, 0x50000 | errno.EPERM, 0x80000000


def decide(machine: str, architecture: int, number: int, *arguments: int) -> int:
    """What the filter for a machine says of a call: classic BPF, run as the kernel does."""
    program = list(seccomp.program(machine))
    padded = (*arguments, *[0] * (6 - len(arguments)))
    data = struct.pack("<IIQ6Q", number, architecture, 0, *padded)
    position = accumulator = 0
    while True:
        code, if_true, if_false, value = struct.unpack("=HBBI", program[position])
        position += 1
        match code:
            case 0x20:
                accumulator = struct.unpack_from("<I", data, value)[0]
            case 0x15:
                position += if_true if accumulator == value else if_false
            case 0x45:
                position += if_true if accumulator & value else if_false
            case _:
                return int(value)


class ProgramTests(SynchronousTestCase):
    def test_numbers(self) -> None:
        """Reading is allowed and opening refused, by the numbers of each machine."""
        for machine, architecture, read, openat, execve in (
            ("x86_64", X86_64, 0, 257, 59),
            ("aarch64", AARCH64, 63, 56, 221),
        ):
            self.assertEqual(decide(machine, architecture, read), ALLOW)
            for number in (openat, execve, 9999, 0xFFFFFFFF):
                self.assertEqual(decide(machine, architecture, number), REFUSE, number)

    def test_other_architectures(self) -> None:
        """Who calls as another machine, whose numbers mean other calls, is killed."""
        for machine, architecture in (("x86_64", I386), ("x86_64", AARCH64), ("aarch64", X86_64)):
            self.assertEqual(decide(machine, architecture, 63), KILL)

    def test_x32(self) -> None:
        """Every number of the x32 ABI is refused."""
        for number in (0, 1, 2, 59):
            self.assertEqual(decide("x86_64", X86_64, 0x40000000 | number), REFUSE)

    def test_memory(self) -> None:
        """Memory may be mapped and protected, but not be executable."""
        for machine, architecture, numbers in (
            ("x86_64", X86_64, (9, 10)),
            ("aarch64", AARCH64, (222, 226)),
        ):
            for number in numbers:
                for protection in (0, mmap.PROT_READ, mmap.PROT_READ | mmap.PROT_WRITE):
                    decision = decide(machine, architecture, number, 0, 4096, protection)
                    self.assertEqual(decision, ALLOW)
                decision = decide(machine, architecture, number, 0, 4096, mmap.PROT_EXEC | 1)
                self.assertEqual(decision, REFUSE)

    def test_unknown(self) -> None:
        """There is no filter for a machine whose numbers are not known."""
        self.assertEqual(list(seccomp.program("riscv64")), [])
