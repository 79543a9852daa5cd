import numpy as np

from resomap.explain.sample import stratified


def test_every_class_gives_equally_many_pictures_in_index_order():
    labels = np.random.default_rng(0).integers(8, size=2000)
    index = stratified(labels, 96)
    assert np.bincount(labels[index]).tolist() == [12] * 8
    assert (np.diff(index) > 0).all()


def test_a_smaller_sample_is_contained_in_a_larger_one():
    labels = np.random.default_rng(0).integers(5, size=300)
    assert set(stratified(labels, 33)) < set(stratified(labels, 77))


def test_a_longer_split_explains_the_same_pictures():
    labels = np.arange(2000) % 8
    assert stratified(labels[:400], 96).tolist() == stratified(labels, 96).tolist()


def test_a_class_that_runs_out_leaves_its_turns_to_the_others():
    assert stratified(np.array([0, 0, 0, 0, 1]), 4).tolist() == [0, 1, 2, 4]


def test_a_small_split_is_explained_whole():
    assert stratified(np.array([1, 0, 1]), 96).tolist() == [0, 1, 2]
