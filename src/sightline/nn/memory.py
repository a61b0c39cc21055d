"""Visual rows beside the sequence, and who reads them."""

# B batch  T tokens  M memory rows  D memory width

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from sightline.nn.masks import BoundMask


@dataclass(frozen=True, slots=True)
class Memory:
    """What the tokens of one pass read.

    rows_BMD: the rows, padded to the longest of the batch, or end to end for the documents of a
    packed row; None once every layer has cached its keys and values.
    mask: the rows that a token reads; all of them where `reads` is false, so that a softmax is
    defined. Of a packed row it says so document by document.
    reads_BT1: bool, whether what a token read is added to it. thinks_BT1: bool, whether its MLP is;
    None for all.
    """

    rows_BMD: Tensor | None
    mask: BoundMask
    reads_BT1: Tensor
    thinks_BT1: Tensor | None = None

    @property
    def tokens(self) -> int:
        """Rows of the longest conversation, or of a packed row."""
        if self.rows_BMD is not None:
            return self.rows_BMD.shape[1]
        return self.allowed_B1TM.shape[-1]

    @property
    def allowed_B1TM(self) -> Tensor:
        """bool: the rows that a token reads, in a batch that is not packed."""
        assert self.mask.allowed_B1TS is not None, "a packed row reads document by document"
        return self.mask.allowed_B1TS

    def afterwards(self) -> Memory:
        """For tokens generated one at a time: they read what the last column reads."""
        thinks = self.thinks_BT1
        return Memory(
            None,
            BoundMask(allowed_B1TS=self.allowed_B1TM[:, :, -1:]),
            self.reads_BT1[:, -1:],
            None if thinks is None else thinks[:, -1:],
        )

    def select(self, rows_B: Tensor) -> Memory:
        """Keep (and repeat) conversations by row."""
        thinks, rows = self.thinks_BT1, self.rows_BMD
        return replace(
            self,
            rows_BMD=None if rows is None else rows[rows_B],
            mask=BoundMask(allowed_B1TS=self.allowed_B1TM[rows_B]),
            reads_BT1=self.reads_BT1[rows_B],
            thinks_BT1=None if thinks is None else thinks[rows_B],
        )
