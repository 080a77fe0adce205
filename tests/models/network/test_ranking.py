"""Rankings are never without their uncertainty."""

import numpy as np
import pytest

from comfrey.models.network import network
from comfrey.models.network._ranking import p_scores, partial_order, precision_of_hierarchy


@pytest.fixture
def net(random_network):
    return network(*random_network(1), method="REML", small_values="undesirable")


def test_simulated_sucra_is_the_p_score(net):
    ranking = net.ranking(draws=40_000)
    assert ranking.standard_error < 0.003
    np.testing.assert_allclose(ranking.sucra, net.p_scores, atol=4 * 0.003)
    probability = ranking.probabilities.to_numpy()
    np.testing.assert_allclose(probability.sum(axis=0), 1)
    np.testing.assert_allclose(probability.sum(axis=1), 1)
    mean = probability @ np.arange(1, 7)
    np.testing.assert_allclose(ranking.mean_rank, mean, atol=0.02)
    assert (ranking.rank_low <= ranking.mean_rank.round()).all()
    assert (ranking.mean_rank.round() <= ranking.rank_high).all()
    assert "POTH" in repr(ranking)


def test_a_seed_gives_the_same_ranks_again(net):
    assert net.rank_probabilities.equals(net.ranking(draws=20_000, seed=1).probabilities)
    assert not net.rank_probabilities.equals(net.ranking(seed=2).probabilities)


def test_direction_turns_the_scores_round(random_network):
    columns = random_network(1)
    up, down = (network(*columns, small_values=d).p_scores for d in ("undesirable", "desirable"))
    np.testing.assert_allclose(up, 1 - down)


def test_p_scores_average_to_a_half_and_shrink_with_a_minimal_difference(net):
    assert net.p_scores.mean() == pytest.approx(0.5)
    strict = net.ranking(minimal_difference=0.2).p_scores
    assert (strict <= net.p_scores).all()


def test_precision_of_the_hierarchy():
    assert precision_of_hierarchy(np.linspace(0, 1, 7)) == pytest.approx(1)
    assert precision_of_hierarchy(np.full(7, 0.5)) == 0
    assert np.isnan(precision_of_hierarchy(np.array([1.0])))


def test_identical_certain_treatments_share_the_score():
    same = p_scores(np.zeros((2, 2)), np.zeros((2, 2)), "desirable")
    assert same.tolist() == [0.5, 0.5]


def test_partial_order_is_acyclic_and_its_edges_are_enough(net):
    order = net.partial_order(confidence=0.8)
    relation = order.relation.to_numpy()
    assert not (relation & relation.T).any()
    names = list(order.treatments)
    closed = np.zeros_like(relation)
    for a, b in order.edges:
        closed[names.index(a), names.index(b)] = True
    for via in range(len(names)):
        closed |= closed[:, via, None] & closed[None, via]
    assert (closed == relation).all()
    stricter = net.partial_order(minimal_difference=0.5, confidence=0.95).relation.to_numpy()
    assert not (stricter & ~relation).any()


def test_partial_order_of_two_outcomes_needs_both():
    better = np.array([[0.0, 2.0], [-2.0, 0.0]])
    se = np.array([[0.0, 0.5], [0.5, 0.0]])
    one = partial_order(["A", "B"], [(better, se, "undesirable")], 0.0, 0.95)
    assert one.edges == (("A", "B"),)
    both = partial_order(["A", "B"], [(better, se, "undesirable"), (-better, se, "undesirable")], 0.0, 0.95)
    assert both.edges == ()


def test_partial_order_of_several_networks(net, random_network):
    other = network(*random_network(2, n=4, k=8), small_values="desirable")
    order = net.partial_order(other)
    assert order.treatments == ("T0", "T1", "T2", "T3")
