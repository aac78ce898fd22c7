"""Numbers of configurations with the bounds within which they make sense."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

Count = Annotated[int, Field(ge=1)]
"""1 or more."""
Whole = Annotated[int, Field(ge=0)]
"""0 or more."""
Side = Annotated[int, Field(ge=32)]
"""Side of a picture in pixels that a network can still take in."""
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
"""Above 0, and finite."""
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
"""0 or more, and finite."""
Probability = Annotated[float, Field(ge=0, le=1)]
"""0 to 1."""
Share = Annotated[float, Field(gt=0, le=1)]
"""Above 0, up to 1."""
Momentum = Annotated[float, Field(ge=0, lt=1)]
"""0 to 1, without 1."""
Decay = Annotated[float, Field(gt=0, lt=1)]
"""Between 0 and 1."""
Cosine = Annotated[float, Field(ge=-1, le=1)]
"""-1 to 1."""
