import random

from benchmarks.torture import null_gates


def test_a_short_attack_on_the_gate_finds_nothing() -> None:
    outcome = null_gates.torment(1.5, 3)

    assert outcome.broken == ()
    assert outcome.tried >= 8 * len(outcome.figures)
    assert len(null_gates.NULLS) + 6 == len(outcome.figures)


def test_a_gate_that_takes_every_question_for_evidence_is_caught() -> None:
    """The attack would have found what broke: without groups a run of copies is accepted far too often."""
    tens = null_gates.Null([10] * 20)
    alone = 0
    for seed in range(60):
        generator = random.Random(seed)
        groups = [null_gates._draw(size, 1.0, generator) for size in tens.sizes]
        after = [null_gates._draw(size, 1.0, generator) for size in tens.sizes]
        before, now = null_gates._as_verdicts(groups), null_gates._as_verdicts(after)
        comparison = null_gates._compared(before, now, "learn", ())
        alone += comparison.difference > 0 and comparison.p_value / 2 <= null_gates.ALPHA
    assert null_gates._is_broken(alone, 60, null_gates.ALPHA, "above")
