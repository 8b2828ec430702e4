"""Prints the RTP that goes to one UDP port of this host, a line per packet, with the kernel's time of sending. Needs root."""

import argparse
import socket
import struct
import sys
import time

SO_TIMESTAMPNS = 35
ETH_P_IP = 0x0800


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("seconds", type=float)
    arguments = parser.parse_args()
    # Of one protocol only what comes in is seen: on loopback each packet once, with the time at which it was sent.
    packets = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_IP))
    packets.bind(("lo", ETH_P_IP))
    packets.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    packets.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
    packets.settimeout(0.2)
    end = time.monotonic() + arguments.seconds
    while time.monotonic() < end:
        try:
            packet, ancillary, _, _ = packets.recvmsg(2048, 64)
        except TimeoutError:
            continue
        row = rtp(packet, arguments.port)
        if row:
            print(sent_at(ancillary), *row, sep="\t")
    sys.stdout.flush()


def rtp(packet, port):
    """Source, sequence number, timestamp, marker and length of the datagram, if it is RTP to this port."""
    header = (packet[0] & 0x0F) * 4
    if packet[9] != socket.IPPROTO_UDP or len(packet) < header + 8 + 12:
        return None
    _, destination, udp_length, _ = struct.unpack_from("!HHHH", packet, header)
    first, second, sequence, timestamp, source = struct.unpack_from("!BBHII", packet, header + 8)
    # RFC 7983 and RFC 5761: RTP begins with 128 to 191, and RTCP has types from 192 on in the second byte.
    if destination != port or not 128 <= first <= 191 or 192 <= second <= 223:
        return None
    return source, sequence, timestamp, second >> 7, second & 0x7F, udp_length - 8


def sent_at(ancillary):
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS:
            seconds, nanoseconds = struct.unpack("qq", data[:16])
            return seconds * 1_000_000_000 + nanoseconds
    raise SystemExit("the kernel told no time")


if __name__ == "__main__":
    main()
