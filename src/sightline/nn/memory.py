"""Visual rows beside the sequence, and who reads them."""

# B batch  T tokens  M memory rows  D memory width

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor


@dataclass(frozen=True, slots=True)
class Memory:
    """What the tokens of one pass read.

    rows_BMD: the rows, padded to the longest of the batch; None once every layer has cached its
    keys and values. allowed_B1TM: bool, the rows that a token reads; all of them where `reads` is
    false, so that a softmax is defined.
    reads_BT1: bool, whether what a token read is added to it. thinks_BT1: bool, whether its MLP is;
    None for all.
    """

    rows_BMD: Tensor | None
    allowed_B1TM: Tensor
    reads_BT1: Tensor
    thinks_BT1: Tensor | None = None

    @property
    def tokens(self) -> int:
        """Rows of the longest conversation."""
        return self.allowed_B1TM.shape[-1]

    def afterwards(self) -> Memory:
        """For tokens generated one at a time: they read what the last column reads."""
        thinks = self.thinks_BT1
        return Memory(
            None,
            self.allowed_B1TM[:, :, -1:],
            self.reads_BT1[:, -1:],
            None if thinks is None else thinks[:, -1:],
        )

    def select(self, rows_B: Tensor) -> Memory:
        """Keep (and repeat) conversations by row."""
        thinks, rows = self.thinks_BT1, self.rows_BMD
        return replace(
            self,
            rows_BMD=None if rows is None else rows[rows_B],
            allowed_B1TM=self.allowed_B1TM[rows_B],
            reads_BT1=self.reads_BT1[rows_B],
            thinks_BT1=None if thinks is None else thinks[rows_B],
        )
