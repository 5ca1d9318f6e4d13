"""Block superposition B1 written down by hand, with a plain NumPy forward pass: an exact memory to probe."""

import numpy as np


def random_answers(subjects, relations, seed=0):
    generator = np.random.default_rng(seed)
    return np.stack([generator.permutation(subjects) for _ in range(relations)], axis=1)


def binary_codes(objects):
    bits = max(1, int(np.ceil(np.log2(objects))))
    words = (np.arange(objects)[:, None] >> np.arange(bits)) & 1
    return (2.0 * words - 1) / np.sqrt(bits)


def block_superposition(answers, codes, *, flag=1):
    """Weights of B1; `flag` = 3 opens the chosen gates for every subject, relu(±h + 3 M flag - M)."""
    (N, R), m = answers.shape, codes.shape[1]
    M, width = np.abs(codes).max(), R * m + R + m
    subject = np.zeros((N, width))
    padded = np.concatenate([codes, np.zeros((1, m))])
    subject[:, : R * m] = padded[answers].reshape(N, R * m)
    relation = np.zeros((R, width))
    relation[:, R * m : R * m + R] = np.eye(R)
    value = np.zeros((width, width))
    value[: R * m, : R * m] = 2 * np.eye(R * m)
    expand, contract = np.zeros((2 * R * m, width)), np.zeros((width, 2 * R * m))
    for r in range(R):
        for j in range(m):
            for sign, neuron in ((1, 2 * (r * m + j)), (-1, 2 * (r * m + j) + 1)):
                expand[neuron, r * m + j] = sign
                expand[neuron, R * m + r] = flag * M
                # With its gate open for either sign, a pair passes on twice the payload.
                contract[R * m + R + j, neuron] = sign if flag == 1 else sign / 2
    output = np.zeros((len(codes), width))
    output[:, R * m + R :] = codes
    return {
        "subject_embedding": subject,
        "relation_embedding": relation,
        "block_0.attention.query.weight": np.zeros((width, width)),
        "block_0.attention.key.weight": np.zeros((width, width)),
        "block_0.attention.value.weight": value,
        "block_0.attention.output.weight": np.eye(width),
        "block_0.mlp.expand.weight": expand,
        "block_0.mlp.expand.bias": np.full(2 * R * m, -M),
        "block_0.mlp.contract.weight": contract,
        "block_0.mlp.contract.bias": np.zeros(width),
        "output_embedding": output,
    }


def plain_states(weights, vectors, relation):
    """States before the unembedding and MLP inputs of queries (vector, relation), by attention's formula."""
    w = {name.removeprefix("block_0."): value for name, value in weights.items()}
    e = w["relation_embedding"][relation]
    query = w["attention.query.weight"] @ e
    scores = np.stack(
        [
            vectors @ w["attention.key.weight"].T @ query,
            np.full(len(vectors), w["attention.key.weight"] @ e @ query),
        ],
        axis=1,
    ) / np.sqrt(len(e))
    share = np.exp(scores - scores.max(axis=1, keepdims=True))
    share /= share.sum(axis=1, keepdims=True)
    mixed = share[:, :1] * vectors + share[:, 1:] * e
    h = e + mixed @ w["attention.value.weight"].T @ w["attention.output.weight"].T
    inside = h @ w["mlp.expand.weight"].T + w["mlp.expand.bias"]
    y = h + np.maximum(inside, 0) @ w["mlp.contract.weight"].T + w["mlp.contract.bias"]
    return y, inside


def plain_answers(weights, vectors):
    """Answers [query, relation], -1 on ties but for rounding."""
    columns = []
    for r in range(len(weights["relation_embedding"])):
        logits = plain_states(weights, vectors, r)[0] @ weights["output_embedding"].T
        ordered = np.sort(logits, axis=1)
        columns.append(np.where(ordered[:, -1] - ordered[:, -2] > 1e-9, logits.argmax(axis=1), -1))
    return np.stack(columns, axis=1)


def plain_jacobians(weights, vectors, step=1e-6):
    """Jacobians [relation, query, out, width] by central differences."""
    relations, width = len(weights["relation_embedding"]), vectors.shape[1]
    J = np.empty((relations, len(vectors), width, width))
    for r in range(relations):
        for k in range(width):
            nudge = step * np.eye(width)[k]
            up, down = (plain_states(weights, vectors + s * nudge, r)[0] for s in (1, -1))
            J[r, :, :, k] = (up - down) / (2 * step)
    return J
