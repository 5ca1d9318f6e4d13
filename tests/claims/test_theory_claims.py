"""The claims about Node2Vec and the paper's theory come out as expected, computed or trained."""

import numpy as np
import pytest

from bare_process import run_bare
from geomem.claims.catalogue import CLAIMS
from geomem.claims.claim import reach_verdict
from geomem.claims.counterexamples import imagine_fleet
from geomem.claims.evidence import Evidence, read_evidence
from geomem.claims.memorize_geometrically.dynamics import lengths_on_modes
from geomem.claims.memorize_geometrically.node2vec import BASELINE
from geomem.claims.need import Scale
from geomem.geometry.spectrum import fiedler_modes, laplacian_spectrum
from geomem.runs.edges import memorize

SCALE = Scale("quick", (0, 1, 2))


def claims_of(*groups):
    return [pytest.param(claim, id=claim.id) for claim in CLAIMS.values() if claim.group in groups]


@pytest.mark.parametrize("claim", claims_of("theory", "trajectory", "complexity"))
def test_what_is_computed_comes_out_as_expected_and_could_come_out_otherwise(claim):
    right = claim.judge(Evidence(arrays=claim.compute(SCALE)))
    wrong = claim.judge(claim.counterexample(()))
    assert reach_verdict(claim, right).as_expected, right.sentence
    assert not reach_verdict(claim, wrong).as_expected, wrong.sentence


@pytest.fixture(scope="module")
def fleets(tmp_path_factory):
    """Every fleet of the trained claims, by what is asked of `memorize`."""
    directory = tmp_path_factory.mktemp("runs")

    def find(request):
        fleet = run_bare(
            memorize,
            request.world,
            model=request.model,
            task=request.task,
            training=request.training,
            seeds=request.seeds,
            directory=directory,
        )
        return read_evidence(request, fleet)

    return find


@pytest.mark.science
@pytest.mark.parametrize("claim", claims_of("node2vec", "dynamics"))
def test_what_is_trained_comes_out_as_expected(claim, fleets):
    evidence = Evidence({request.key: fleets(request) for request in claim.fleets(SCALE)})
    verdict = reach_verdict(claim, claim.judge(evidence))
    assert verdict.as_expected, verdict.sentence


def test_lengths_on_the_fiedler_set_and_after_it_on_an_embedding_that_is_known():
    request = BASELINE(SCALE)[2]
    spectrum = laplacian_spectrum(request.world)
    turned = np.linalg.qr(np.random.default_rng(0).normal(size=(request.model.width, 3)))[0]
    kept = spectrum.eigenvectors[:, :3] * [7.0, 5.0, 5.0] @ turned.T
    fiedler, rest = lengths_on_modes(imagine_fleet(request, "associative"), kept)
    assert fiedler == pytest.approx([5.0, 5.0])
    assert rest == pytest.approx(np.zeros(12), abs=1e-9)
    assert fiedler_modes(spectrum).tolist() == [1, 2]
