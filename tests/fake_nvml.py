"""A stand-in for pynvml on a machine without a card."""

from types import SimpleNamespace

UUID = "3f0a9c1e-0000-4bd2-8a53-7a1d5c9e2b10"


class FakeNvml:
    """pynvml of a machine with one card; queries in `missing` have no answer."""

    class NVMLError(Exception):
        pass

    NVML_CLOCK_SM = 1
    NVML_TEMPERATURE_GPU = 0

    def __init__(
        self, uuids=(f"GPU-{UUID}",), mig=0, reasons=0, pids=(), missing=(), used=2**30
    ):
        self._uuids, self._missing = uuids, missing
        self._mig, self._reasons, self._pids = mig, reasons, pids
        self._used = used

    def _answer(self, query, answer):
        if query in self._missing:
            raise self.NVMLError(query)
        return answer

    def nvmlInit(self):
        return self._answer("init", None)

    def nvmlDeviceGetHandleByUUID(self, uuid):
        if uuid not in self._uuids:
            raise self.NVMLError("not found")
        return uuid

    def nvmlDeviceGetDeviceHandleFromMigDeviceHandle(self, handle):
        return {f"MIG-{UUID}": "the card of the slice"}[handle]

    def nvmlDeviceGetMigMode(self, handle):
        return self._answer("mig", [self._mig, self._mig])

    def nvmlDeviceGetClockInfo(self, handle, clock):
        assert not handle.startswith("MIG")
        assert clock == self.NVML_CLOCK_SM
        return self._answer("clock", 1755)

    def nvmlDeviceGetTemperature(self, handle, sensor):
        assert not handle.startswith("MIG")
        assert sensor == self.NVML_TEMPERATURE_GPU
        return self._answer("temperature", 63)

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, handle):
        assert not handle.startswith("MIG")
        return self._answer("reasons", self._reasons)

    def nvmlDeviceGetComputeRunningProcesses(self, handle):
        assert handle in self._uuids
        processes = [SimpleNamespace(pid=pid, usedGpuMemory=self._used) for pid in self._pids]
        return self._answer("processes", processes)
