"""The wires of a bed: a network namespace a host, a cable from the workspace to the login node, a switch behind."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass

LOGIN = "login"
NODES = ("node1", "node2")
HOSTS = (LOGIN, *NODES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """The network of the bed ``number``. The workspace is where this process is, and has no way to the nodes.

    workspace 10.(100+N).0.1 --- 10.(100+N).0.2 login 10.(100+N).1.1 --- node1 10.(100+N).1.11, node2 10.(100+N).1.12
    """

    number: int

    @property
    def workspace_link(self) -> str:
        """The workspace's end of the cable to the login node."""
        return f"sd{self.number}-ws"

    @property
    def addresses(self) -> str:
        """All addresses of the bed."""
        return f"10.{100 + self.number}.0.0/16"

    @property
    def door(self) -> str:
        """The login node's address for the workspace."""
        return f"10.{100 + self.number}.0.2"

    def address(self, host: str) -> str:
        """A host's address in the cluster's own network."""
        return f"10.{100 + self.number}.1.{ {'login': 1, 'node1': 11, 'node2': 12}[host] }"

    def namespace(self, host: str) -> str:
        """The name of a host's network namespace."""
        return f"sd{self.number}-{host}"

    def add(self) -> None:
        """Lay all wires. Raises RuntimeError when the machine uses these addresses itself, or cannot."""
        taken = _run(["ip", "-4", "route", "show", "root", self.addresses])
        if taken:
            raise RuntimeError(f"the machine itself has a route into {self.addresses}: {taken.splitlines()[0].strip()}")
        login = self.namespace(LOGIN)
        _batch(
            *(f"netns add {self.namespace(host)}" for host in HOSTS),
            f"link add {self.workspace_link} type veth peer name ws netns {login}",
            f"address add 10.{100 + self.number}.0.1/30 dev {self.workspace_link}",
            f"link set {self.workspace_link} up",
            *(f"link add v-{n} netns {login} type veth peer name eth0 netns {self.namespace(n)}" for n in NODES),
            # without it what is for a node, or for a login node whose cable is pulled, would leave by the default route
            f"route add unreachable {self.addresses}",
        )
        _batch(
            "link set lo up",
            f"address add {self.door}/30 dev ws",
            "link set ws up",
            "link add br0 type bridge",
            f"address add {self.address(LOGIN)}/24 dev br0",
            "link set br0 up",
            *(f"link set v-{node} master br0 up" for node in NODES),
            namespace=login,
        )
        for node in NODES:
            _batch(
                "link set lo up",
                f"address add {self.address(node)}/24 dev eth0",
                "link set eth0 up",
                namespace=self.namespace(node),
            )

    def remove(self) -> None:
        """Take away whatever there is of it."""
        _batch(
            f"route del unreachable {self.addresses}",
            # by itself it would go a moment after its namespace
            f"link del {self.workspace_link}",
            *(f"netns del {self.namespace(host)}" for host in HOSTS),
            all_of_it=True,
        )

    def cut(self) -> None:
        """A silent black hole between workspace and login node: connections stay open, nothing arrives."""
        self._filter("-A INPUT -i ws -j DROP", "-A OUTPUT -o ws -j DROP")

    def heal(self) -> None:
        """The end of the black hole."""
        self._filter()

    def cable(self, *, plugged: bool) -> None:
        """The cable between workspace and login node; unplugged, senders are told that there is no way."""
        _batch(f"link set {self.workspace_link} {'up' if plugged else 'down'}")

    def node_cable(self, node: str, *, plugged: bool) -> None:
        """The cable between a node and the switch in the login node."""
        _batch(f"link set v-{node} {'up' if plugged else 'down'}", namespace=self.namespace(LOGIN))

    def rate(self, mbit: float | None) -> None:
        """Let the cable between workspace and login node carry so many Mbit/s each way; None: as many as it can."""
        ends: tuple[tuple[list[str], str], ...] = ([], self.workspace_link), (["-n", self.namespace(LOGIN)], "ws")
        for where, link in ends:
            if mbit is None:
                subprocess.run(
                    ["tc", *where, "qdisc", "del", "dev", link, "root"], capture_output=True, timeout=10, check=False
                )
            else:
                words = f"qdisc replace dev {link} root tbf rate {round(mbit * 1000)}kbit burst 256k latency 50ms"
                _run(["tc", *where, *words.split()])

    def _filter(self, *rules: str) -> None:
        text = "\n".join(["*filter", ":INPUT ACCEPT", ":FORWARD ACCEPT", ":OUTPUT ACCEPT", *rules, "COMMIT", ""])
        namespace = f"--net=/run/netns/{self.namespace(LOGIN)}"
        _run(["nsenter", namespace, "iptables-restore", "--wait"], text)


def _batch(*lines: str, namespace: str = "", all_of_it: bool = False) -> None:
    """Commands for ip(8), one process for all; ``all_of_it``: go on where one fails, and say nothing of it."""
    argv = ["ip", *(["-n", namespace] if namespace else []), *(["-force"] if all_of_it else []), "-batch", "-"]
    text = "".join(f"{line}\n" for line in lines)
    if all_of_it:
        subprocess.run(argv, input=text, text=True, capture_output=True, timeout=10, check=False)
    else:
        _run(argv, text)


def _run(argv: list[str], text: str = "") -> str:
    done = subprocess.run(argv, input=text, text=True, capture_output=True, timeout=10, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv)}: {done.stderr.strip()}")
    return done.stdout
