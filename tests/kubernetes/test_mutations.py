"""Each mistake made in the manifests is found by its check, and each check has a mistake."""

from tests.each import for_each
from tests.kubernetes.checks.registry import ALL
from tests.kubernetes.manifests import manifests
from tests.kubernetes.mutations import availability, hardening, monitoring, references, settings, traffic
from tests.kubernetes.mutations.mutation import Mutation

MUTATIONS: tuple[Mutation, ...] = (
    *references.MUTATIONS,
    *settings.MUTATIONS,
    *availability.MUTATIONS,
    *hardening.MUTATIONS,
    *traffic.MUTATIONS,
    *monitoring.MUTATIONS,
)


@for_each(MUTATIONS, name=lambda mutation: mutation.what)
def test_mutation_is_found(mutation: Mutation) -> None:
    found = manifests(mutation.overlay)
    assert not list(mutation.check(found)), "the check finds something before the mistake is made"
    mutation.make(found)
    assert list(mutation.check(found))


def test_every_check_has_its_mutation() -> None:
    assert set(ALL) == {mutation.check for mutation in MUTATIONS}
