"""How well logits recall the facts: top-d recovery, top-1 accuracy, cross-entropy and the lowest it can be.

Arrays are those of `Examples`: logits [..., example, vocab] after each unique prefix, and per fact the
example it belongs to, its target and its weight.
"""

import numpy as np
from jaxtyping import Float, Int
from scipy.special import logsumexp


def associative_accuracy(
    logits: Float[np.ndarray, "*run example vocab"],
    fact_examples: Int[np.ndarray, " fact"],
    fact_targets: Int[np.ndarray, " fact"],
) -> Float[np.ndarray, "*run"] | float:
    """Top-d recovery: share of each prefix's d targets among its d highest logits, mean over prefixes.

        mean over u of |N(u) & top-d(u)(logits_u)| / d(u),    d(u) = |N(u)|        (notes D; no cap on d)

    The whole vocabulary competes, and on ties targets lose. 1: every fact is memorised, however small its
    lead.

    >>> logits = np.array([[3.0, 2.0, 1.0], [1.0, 1.0, 1.0]])
    >>> float(associative_accuracy(logits, np.array([0, 0, 1]), np.array([0, 1, 2])))
    0.5
    """
    examples, vocabulary = logits.shape[-2:]
    is_target = np.zeros((examples, vocabulary), dtype=bool)
    is_target[fact_examples, fact_targets] = True
    degrees = is_target.sum(axis=1)
    asked = degrees > 0
    logits, is_target, degrees = logits[..., asked, :], is_target[asked], degrees[asked]
    # The last key counts first: highest logit, then whatever is no target.
    order = np.lexsort((np.broadcast_to(is_target, logits.shape), -logits), axis=-1)
    hits = np.take_along_axis(np.broadcast_to(is_target, logits.shape), order, axis=-1)
    among_top = np.arange(vocabulary) < degrees[:, None]
    return ((hits & among_top).sum(axis=-1) / degrees).mean(axis=-1)


def top1_accuracy(
    logits: Float[np.ndarray, "*run example vocab"],
    fact_examples: Int[np.ndarray, " fact"],
    fact_targets: Int[np.ndarray, " fact"],
    fact_weights: Float[np.ndarray, " fact"],
) -> Float[np.ndarray, "*run"] | float:
    """Weighted share of facts whose target has the highest logit; among equal logits the lowest token counts.

    A prefix with d targets can be right for one of them only, so the highest possible value is the number of
    prefixes over the number of facts: 53.12 % on the tiny path-star.

    >>> logits = np.array([[3.0, 2.0, 1.0]])
    >>> float(top1_accuracy(logits, np.array([0, 0]), np.array([0, 1]), np.array([0.5, 0.5])))
    0.5
    """
    return (logits.argmax(axis=-1)[..., fact_examples] == fact_targets) @ fact_weights


def cross_entropy(
    logits: Float[np.ndarray, "*run example vocab"],
    fact_examples: Int[np.ndarray, " fact"],
    fact_targets: Int[np.ndarray, " fact"],
    fact_weights: Float[np.ndarray, " fact"],
) -> Float[np.ndarray, "*run"] | float:
    """Weighted mean over facts of -log softmax(logits)[target], in nats.

    >>> float(np.exp(cross_entropy(np.zeros((1, 4)), np.array([0]), np.array([2]), np.array([1.0]))).round(6))
    4.0
    """
    logits = np.asarray(logits, dtype=np.float64)
    normalizers = np.asarray(logsumexp(logits, axis=-1))
    return (normalizers[..., fact_examples] - logits[..., fact_examples, fact_targets]) @ fact_weights


def loss_floor(fact_examples: Int[np.ndarray, " fact"], fact_weights: Float[np.ndarray, " fact"]) -> float:
    """The lowest possible cross-entropy: the entropy of the targets given their prefix, in nats.

        - sum_f w_f log(w_f / W_f),    W_f: total weight of the facts that share f's prefix

    With equal weights it is the mean over facts of the log of their prefix's out-degree: .6931 on the tiny
    path-star.

    >>> round(loss_floor(np.array([0, 1, 1]), np.full(3, 1 / 3)), 4)
    0.4621
    """
    totals = np.bincount(fact_examples, weights=fact_weights)
    return float(-(fact_weights * np.log(fact_weights / totals[fact_examples])).sum())
