import numpy as np
import pytest
import torch
from torch import nn

from thimble.models.bags import Bag, Pooling
from thimble.models.inputs import Categorical
from thimble.models.nn import SharedMemory
from thimble.models.pooling import pooled_lookup

USER = Categorical(name="user", kind="int", rows=1000)


def memory_of(pooling: Pooling = "mean") -> SharedMemory:
    torch.manual_seed(0)
    genres = Categorical(name="genres", kind="string", rows=20, bag=Bag(values=4, pooling=pooling))
    made = SharedMemory.create([USER, genres], dim=8, memory_bytes=4096, precision="fp32", seed=3)
    nn.init.uniform_(made.memory)
    return made


def test_a_field_reads_what_it_reads_beside_the_others() -> None:
    memory = memory_of("sum")
    ids = torch.tensor([[5, 7, 0, 9, 3], [0, 0, 0, 0, 0]])
    whole = memory(ids)
    assert torch.equal(memory.embedding("user")(ids[:, 0]), whole[:, 0])
    assert torch.equal(memory.embedding_bag("genres")(ids[:, 1:]), whole[:, 1])
    weights = {"memory": memory.memory.numpy(force=True)}
    expected = pooled_lookup(memory.scheme, weights, ids.numpy(), 8, memory.bags)
    np.testing.assert_allclose(whole.numpy(force=True), expected, rtol=1e-6)


def test_ids_have_any_shape() -> None:
    embedding = memory_of().embedding("user")
    ids = torch.randint(0, 1 << 60, (3, 5, 2))
    found = embedding(ids)
    assert found.shape == (3, 5, 2, 8)
    assert torch.equal(found[2, 4, 1], embedding(ids[2, 4, 1]))
    assert (embedding.num_embeddings, embedding.embedding_dim) == (1000, 8)
    assert embedding(torch.empty(0, 4, dtype=torch.int64)).shape == (0, 4, 8)


@pytest.mark.parametrize("pooling", ["sum", "mean", "max"])
def test_a_bag_is_torchs(pooling: Pooling) -> None:
    memory = memory_of(pooling)
    plain = memory.embedding("genres")
    table = plain(torch.arange(50)).detach().requires_grad_()
    ids = torch.tensor([[5, 7, 7, 9], [3, 0, 0, 0], [0, 2, 0, 4]])
    expected = nn.functional.embedding_bag(ids, table, mode=pooling, padding_idx=0)
    found = memory.embedding_bag("genres")(ids)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(memory.embedding_bag("genres")(torch.tensor([[0, 0, 0, 0]])), torch.zeros(1, 8))
    (gradient,) = torch.autograd.grad((found**2).sum(), memory.memory)
    (of_table,) = torch.autograd.grad((expected**2).sum(), table)
    (through,) = torch.autograd.grad(plain(torch.arange(50)), memory.memory, of_table)
    torch.testing.assert_close(gradient, through)


def test_bags_may_be_given_by_their_offsets() -> None:
    bag = memory_of("sum").embedding_bag("genres")
    padded = bag(torch.tensor([[5, 7, 0, 0], [0, 0, 0, 0], [1, 2, 3, 4]]))
    assert torch.equal(bag(torch.tensor([5, 7, 1, 2, 3, 4]), torch.tensor([0, 2, 2])), padded)


def test_all_fields_train_one_memory() -> None:
    memory = memory_of()
    module = nn.ModuleDict({"user": memory.embedding("user"), "genres": memory.embedding_bag("genres")})
    assert [id(parameter) for parameter in module.parameters()] == [id(memory.memory)]


def test_what_is_not_there_is_said() -> None:
    memory = memory_of()
    with pytest.raises(ValueError, match="no field 'age'; it has user, genres"):
        memory.embedding("age")
    with pytest.raises(ValueError, match="user is single-valued"):
        memory.embedding_bag("user")
    with pytest.raises(ValueError, match="does not hold two"):
        SharedMemory.create([USER], dim=8, memory_bytes=2)
