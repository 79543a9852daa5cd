"""Cost of a model: time, memory, arithmetic and energy."""

from resomap.profiling.summary import count_macs

__all__ = ["count_macs"]
