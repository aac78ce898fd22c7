"""Which writes of earlier lives of a log a collection still holds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from picoseek_search.storage.log import Revision


@dataclass(frozen=True)
class History:
    """Where the writes of a collection come from. Restoring a snapshot ends a life of the log and begins another."""

    origin: str
    """Names the collection in which the first of them was made: revisions of different origins have nothing to do with
    each other."""
    ended: Mapping[int, int] = field(default_factory=dict[int, int])
    """By epoch of each earlier life, the sequence up to which its writes are there; later ones are gone."""

    def contains(self, revision: Revision, epoch: int) -> bool:
        """Whether a write of this origin, made at `revision`, is in the collection whose log is in its life `epoch`."""
        return revision.epoch == epoch or revision.sequence <= self.ended.get(revision.epoch, 0)

    def restored(self, revision: Revision) -> History:
        """Return the history after a life that ended at a revision."""
        return History(self.origin, {**self.ended, revision.epoch: revision.sequence})

    def to_json(self) -> str:
        """Return it as text."""
        return json.dumps({"origin": self.origin, "ended": sorted(self.ended.items())})

    @classmethod
    def from_json(cls, text: str) -> History:
        """Read what to_json() wrote."""
        content = json.loads(text)
        return cls(content["origin"], {int(epoch): int(sequence) for epoch, sequence in content["ended"]})
