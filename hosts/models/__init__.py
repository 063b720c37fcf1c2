from hosts.models.count import Action, HostCount
from hosts.models.host import ANSWERING, Availability, DockerHost, DrainThen, HostState
from hosts.models.installation import Installation
from hosts.models.lease import HostLease
from hosts.models.request import OF_SUPERVISORS, HostRequest, RequestVerb
from hosts.models.sample import HostSample

__all__ = [
    "ANSWERING",
    "OF_SUPERVISORS",
    "Action",
    "Availability",
    "DockerHost",
    "DrainThen",
    "HostCount",
    "HostLease",
    "HostRequest",
    "HostSample",
    "HostState",
    "Installation",
    "RequestVerb",
]
