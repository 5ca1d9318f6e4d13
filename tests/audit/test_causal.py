"""What moves an answer: another's state, the fitted map, or any push."""

import numpy as np

from geomem.audit.causal import measure_causes


def model(width=12, objects=5, subjects=100):
    """States that hold an object along directions of their own, and noise."""
    generator = np.random.default_rng(0)
    codes = generator.normal(size=(objects, 4))
    answers = generator.integers(objects, size=subjects)
    maps = generator.normal(size=(4, width))
    return codes, answers, codes[answers] @ maps + 0.1 * generator.normal(size=(subjects, width)), maps


def test_the_map_moves_an_answer_that_is_read_from_the_state():
    codes, answers, states, maps = model()

    def answer_with(subjects, vectors):
        return ((vectors[:, None] - codes @ maps) ** 2).sum(axis=2).argmin(axis=1)

    causes = measure_causes(states, codes, answers, answer_with)
    assert causes.untouched == causes.replaced == 1
    at_one = causes.gains.tolist().index(1.0)
    assert causes.moved[at_one] > 0.9 > 0.3 > causes.random[at_one]
    assert causes.p < 0.01


def test_an_answer_looked_up_by_name_does_not_move():
    codes, answers, states, _ = model()
    causes = measure_causes(states, codes, answers, lambda subjects, vectors: answers[subjects])
    assert (causes.untouched, causes.replaced, causes.p) == (1, 0, 1)
    assert not causes.moved.any()
    assert not causes.random.any()
