"""The learner's matrix product on a CPU against PyTorch's own."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from rl.linear import OneDnnLinear, matmul_transposed, use_onednn

pytestmark = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available(), reason="PyTorch was built without oneDNN"
)


@pytest.mark.parametrize("rows", [(1,), (7,), (1, 33), (2, 3, 5)])
def test_value_and_gradients_are_those_of_a_linear_layer(rows: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(3)
    inputs = torch.randn(*rows, 24, generator=generator)
    weight = torch.randn(16, 24, generator=generator)
    gradient = torch.randn(*rows, 16, generator=generator)
    results = []
    for product in (functional.linear, matmul_transposed):
        a, b = inputs.clone().requires_grad_(), weight.clone().requires_grad_()
        value = product(a, b)
        value.backward(gradient)
        results.append((value.detach(), a.grad, b.grad))
    for expected, got in zip(*results, strict=True):
        assert expected is not None
        torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)


def test_frozen_sides_get_no_gradient() -> None:
    inputs, weight = torch.randn(5, 8), torch.randn(4, 8, requires_grad=True)
    matmul_transposed(inputs, weight).sum().backward()
    assert inputs.grad is None
    assert weight.grad is not None


def test_layers_are_replaced_and_parameters_stay_the_same_objects() -> None:
    model = nn.Sequential(nn.Embedding(10, 8), nn.Linear(8, 8), nn.Linear(8, 10, bias=False))
    model[2].weight = model[0].weight  # a tied output head
    before = dict(model.named_parameters())
    use_onednn(model)
    assert isinstance(model[1], nn.Linear), "a layer with bias is left alone"
    assert isinstance(model[2], OneDnnLinear)
    after = dict(model.named_parameters())
    assert list(after) == list(before)
    assert all(after[name] is before[name] for name in before)
    assert model[2].weight is model[0].weight
