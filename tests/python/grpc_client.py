"""A client of the gRPC services by Google's implementation, made from their definition.

Takes the folder of the definition, one for the stubs, and the nodes. Any answer that is not as it must be
ends it with an error; for each node it prints what it has done.
"""

import sys

import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)
from grpc_tools import protoc

TIMEOUT = 30
SERVICES = ["dkv.v0.ClusterService", "dkv.v0.KVStore"]


def compiled(definition, stubs):
    arguments = [f"-I{definition}", f"--python_out={stubs}", f"--grpc_python_out={stubs}"]
    if protoc.main(["protoc", *arguments, "dkv/v0/dkv.proto"]) != 0:
        sys.exit("the definition does not compile")
    sys.path.insert(0, stubs)
    from dkv.v0 import dkv_pb2, dkv_pb2_grpc

    return dkv_pb2, dkv_pb2_grpc


def expect(seen, wanted):
    if seen != wanted:
        sys.exit(f"{seen!r} instead of {wanted!r}")


def code(call, request):
    try:
        call(request, timeout=TIMEOUT)
    except grpc.RpcError as error:
        return error.code()
    return grpc.StatusCode.OK


def main(definition, stubs, *nodes):
    messages, services = compiled(definition, stubs)
    channels = [grpc.insecure_channel(node) for node in nodes]
    stores = [services.KVStoreStub(channel) for channel in channels]
    for node, channel, store in zip(nodes, channels, stores):
        done = []
        cluster = services.ClusterServiceStub(channel)
        status = cluster.Status(messages.StatusRequest(), timeout=TIMEOUT)
        name = status.node_id

        key, value = f"from Python at {name}".encode(), b"\x00" + name.encode() + b"\xff"
        reply = store.Put(messages.PutRequest(key=key, value=value), timeout=TIMEOUT)
        expect(reply.message, "success")
        empty = messages.PutRequest(value=value)
        expect(code(store.Put, empty), grpc.StatusCode.INVALID_ARGUMENT)
        done.append("put")

        for other in stores:
            reply = other.Get(messages.GetRequest(key=key), timeout=TIMEOUT)
            expect((reply.key, reply.value), (key, value))
        absent = messages.GetRequest(key=b"absent")
        expect(code(store.Get, absent), grpc.StatusCode.NOT_FOUND)
        done.append("get")

        leader = status.cluster.leader
        members = {leader.id: leader.addr}
        for id, follower in status.cluster.followers.items():
            expect(follower.id, id)
            members[id] = follower.addr
        expect(members[name], node)
        expect(sorted(members.values()), sorted(nodes))
        done.append("status")

        health = health_pb2_grpc.HealthStub(channel)
        for service in ["", *SERVICES]:
            request = health_pb2.HealthCheckRequest(service=service)
            expect(health.Check(request, timeout=TIMEOUT).status, health_pb2.HealthCheckResponse.SERVING)
        done.append("health")

        reflected = ProtoReflectionDescriptorDatabase(channel)
        listed = reflected.get_services()
        expect([service for service in SERVICES if service not in listed], [])
        pool = DescriptorPool(reflected)
        put = pool.FindServiceByName("dkv.v0.KVStore").FindMethodByName("Put")
        fields = [(field.name, field.number) for field in put.input_type.fields]
        expect(fields, [("key", 1), ("value", 2)])
        done.append("reflection")
        print(*done)


main(*sys.argv[1:])
