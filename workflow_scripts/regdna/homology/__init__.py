"""Homology: what sequence a dataset's windows share, told from their 21-mers on either strand.

Windows overlap, so nothing is done window by window: their sequence is laid on one axis on which a shared base lies once
(``Axis``), the words of the axis are listed by place (``Words``), and a window is a stretch of that list.
"""

from regdna.homology.axis import Axis
from regdna.homology.linkage import clusters
from regdna.homology.words import Words, share_with

__all__ = ["Axis", "Words", "clusters", "share_with"]
