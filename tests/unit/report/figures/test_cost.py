import numpy as np

from resomap.report.figures.cost import pareto_front


def test_pareto_front_holds_undominated_points() -> None:
    front = pareto_front(np.array([1.0, 2.0, 2.0, 3.0]), np.array([0.7, 0.9, 0.8, 0.9]))
    assert front.tolist() == [True, True, False, False]


def test_equal_points_share_the_front() -> None:
    assert pareto_front(np.array([1.0, 1.0]), np.array([0.7, 0.7])).tolist() == [True, True]
