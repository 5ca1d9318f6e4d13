"""Path finding in context, a fresh path-star in every prompt: what it takes; `find_paths` trains it."""

from geomem.errors import InputError
from geomem.runs.path_cost import Sizes, answer_length, context_length
from geomem.training.configuration import PathTraining
from geomem.worlds.graphs.graph import check_size
from geomem.worlds.in_context import (
    TEST_PROMPTS,
    InContextPathFinding,
    check_in_context,
    in_context_vocabulary,
    node_count,
)


def prompt_sizes(task: InContextPathFinding, training: PathTraining) -> Sizes:
    """What the cost of path finding in context is counted from.

    Raises `InputError` if no prompt can be made, or if a batch has fewer prompts than micro-batches.

    >>> prompt_sizes(InContextPathFinding(arms=2, length=5), PathTraining()).context_length
    31
    """
    check_in_context(task)
    if training.micro_batches > training.prompts:
        raise InputError(
            f"micro_batches is {training.micro_batches} but a batch has {training.prompts} prompts; "
            "give fewer micro-batches."
        )
    check_size("in-context", task.node_tokens, node_count(task))
    read = answer_length(task.target, task.length)
    return Sizes(
        vocabulary_size=in_context_vocabulary(task).size,
        node_count=task.node_tokens,
        context_length=context_length(task, task.length),
        read=read,
        train_rows=training.prompts * training.batches,
        held_out_rows=TEST_PROMPTS,
        edge_rows=0,
    )
