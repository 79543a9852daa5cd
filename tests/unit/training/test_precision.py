import pytest
import torch

from resomap.training.precision import use_float32


@pytest.fixture
def restored_tf32():
    before = torch.backends.cudnn.allow_tf32
    yield
    torch.backends.cudnn.allow_tf32 = before


def test_use_float32_disables_tf32(restored_tf32):
    torch.backends.cudnn.allow_tf32 = True
    use_float32()
    assert not torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32
