"""Verifies an auditrail trail with others' Python packages and nothing of ours:
pymerkle for the tree, cryptography for the signatures.

Usage: verify.py FOLDER, where FOLDER holds what proof/interop_tests.rs leaves there:
trail/, log.vkey, witness.vkey, old-checkpoint, consistency, proofs/.
"""

import base64
import glob
import hashlib
import json
import os
import sys

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pymerkle import InmemoryTree, InvalidProof, verify_consistency, verify_inclusion


def read(*path):
    with open(os.path.join(*path), "rb") as file:
        return file.read()


class Key:
    """A public key in the signed-note form."""

    def __init__(self, text):
        self.name, key_id, data = text.decode().split("+", 2)
        data = base64.b64decode(data, validate=True)
        self.kind, public = data[0], data[1:]
        self.id = hashlib.sha256(self.name.encode() + b"\n" + data).digest()[:4]
        assert self.id.hex() == key_id, "the key's id"
        self.public = Ed25519PublicKey.from_public_bytes(public)

    def verify(self, text, signature):
        if self.kind == 1:
            self.public.verify(signature, text)
        else:
            assert self.kind == 4
            time = int.from_bytes(signature[:8], "big")
            message = b"cosignature/v1\ntime %d\n" % time + text
            self.public.verify(signature[8:], message)


def open_checkpoint(note, *keys):
    """Size and root, once every one of the keys is found to have signed."""
    end = note.rindex(b"\n\n") + 1
    text, signatures = note[:end], note[end + 1 :]
    for key in keys:
        start = "— %s " % key.name
        lines = [l for l in signatures.decode().splitlines() if l.startswith(start)]
        data = [base64.b64decode(line[len(start) :], validate=True) for line in lines]
        matching = [d[4:] for d in data if d[:4] == key.id]
        assert matching, "no signature by " + key.name
        for signature in matching:
            key.verify(text, signature)
            try:
                key.verify(text + b"x\n", signature)
            except InvalidSignature:
                continue
            raise AssertionError("a signature over another text holds")
    origin, size, root = text.decode().splitlines()
    assert origin == keys[0].name
    return int(size), base64.b64decode(root, validate=True)


def entries(root):
    """All lines, in the order of their ids, which must be 1, 2, 3, …"""
    lines = {}
    for path in glob.glob(os.path.join(root, "*", "*", "audit-*.jsonl")):
        for line in read(path).splitlines():
            event_id = json.loads(line)["event_id"]
            assert event_id not in lines
            lines[event_id] = line
    assert sorted(lines) == list(range(1, len(lines) + 1))
    return [lines[event_id] for event_id in range(1, len(lines) + 1)]


def split_proof(text):
    head, checkpoint = text.split(b"\n\n", 1)
    return head.decode().split("\n"), checkpoint


def hashes(lines):
    return [base64.b64decode(line, validate=True) for line in lines]


def main(folder):
    key = Key(read(folder, "log.vkey"))
    witness = Key(read(folder, "witness.vkey"))
    root = os.path.join(folder, "trail")
    size, signed_root = open_checkpoint(
        read(root, ".auditrail", "tlog", "checkpoint"), key, witness
    )
    old_size, old_root = open_checkpoint(read(folder, "old-checkpoint"), key)

    lines = entries(root)
    assert len(lines) == size
    tree = InmemoryTree(algorithm="sha256")
    tree.append_entries(lines)
    assert tree.get_root() == signed_root, "the root of the lines is not the signed one"
    assert tree.get_root(old_size) == old_root, "the earlier root"

    # Inclusion: our hashes in pymerkle's proof, whose rule it makes itself.
    proofs = glob.glob(os.path.join(folder, "proofs", "*.tlog-proof"))
    for path in proofs:
        head, checkpoint = split_proof(read(path))
        assert head[0] == "c2sp.org/tlog-proof@v1"
        index = int(head[1].removeprefix("index "))
        assert open_checkpoint(checkpoint, key) == (size, signed_root)
        leaf = tree.get_leaf(index + 1)
        proof = tree.prove_inclusion(index + 1)
        ours = [leaf] + hashes(head[2:])
        assert ours == proof.path
        proof.path = ours
        verify_inclusion(leaf, signed_root, proof)
        try:
            verify_inclusion(hashlib.sha256(b"\0x").digest(), signed_root, proof)
        except InvalidProof:
            continue
        raise AssertionError("the proof holds for another line")

    # Consistency of the two signed roots. pymerkle's proofs have a form of their
    # own, not that of RFC 6962, so that ours are left to Go to check.
    head, checkpoint = split_proof(read(folder, "consistency"))
    assert head[0] == "old %d" % old_size
    assert open_checkpoint(checkpoint, key) == (size, signed_root)
    if old_size > 0:
        proof = tree.prove_consistency(old_size)
        verify_consistency(old_root, signed_root, proof)

    print(
        "python: %d events: signature, cosignature, root, %d inclusion proofs, "
        "consistency with %d events" % (size, len(proofs), old_size)
    )


main(sys.argv[1])
