"""All checks, by their names."""

from tests.kubernetes.checks import availability, hardening, monitoring, references, settings, traffic
from tests.kubernetes.manifests import Check

ALL: tuple[Check, ...] = (
    references.selectors_find_pods,
    references.services_find_the_pods_of_one_workload,
    references.ports_of_services_exist,
    references.ports_of_policies_exist,
    references.ports_of_probes_exist,
    references.volumes_exist,
    references.one_pod_mounts_a_volume,
    references.secrets_are_named_and_made_elsewhere,
    settings.environments_are_accepted,
    settings.references_are_resolved,
    settings.settings_are_those_of_compose,
    settings.ports_are_listened_on,
    settings.folders_are_mounted,
    availability.probes_tell_alive_from_ready,
    availability.a_drain_has_its_time,
    availability.budgets_let_a_node_be_drained,
    availability.an_update_keeps_all_pods,
    availability.autoscalers_can_act,
    availability.connections_fit_the_database,
    availability.clients_find_new_pods,
    hardening.pods_are_restricted,
    hardening.the_user_is_that_of_the_image,
    hardening.resources_are_limited,
    hardening.images_have_a_version,
    traffic.edges_are_dependencies,
    traffic.edges_are_let_in,
    traffic.all_else_is_denied,
    monitoring.rules_are_those_of_promtool,
    monitoring.dashboards_are_those_of_grafana,
    monitoring.jobs_are_those_of_the_rules,
)
