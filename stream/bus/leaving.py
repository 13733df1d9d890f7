"""Leaving: a consumer that is done with its group in; closed, and the group knows, out.

In    the consumer, and an admin client beside it
Out   the group was told by the consumer, or by the admin client if that could not
Not   the last commit (lane.py)

Amid a rebalance a consumer waits for all the others, and cannot say that it leaves: the broker
takes no further request of a connection before it has answered the last. The others would then
wait for a member that is gone, as long as a rebalance may take.
"""

from __future__ import annotations

import asyncio

from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from aiokafka.protocol.group import LeaveGroupRequest
from mode.utils.logging import get_logger

logger = get_logger(__name__)

CLOSE_WITHIN_S, TELL_WITHIN_S = 3.0, 2.0


async def leave(consumer: AIOKafkaConsumer, admin: AIOKafkaAdminClient | None, group: str) -> None:
    """Close the consumer; it is not in the group any more, unless no broker answers in time.

    A static member stays: it is to come back.
    """
    coordinator = consumer._coordinator
    member = "" if coordinator is None else str(coordinator.member_id)
    is_static = coordinator is None or coordinator._group_instance_id is not None
    try:
        await asyncio.wait_for(consumer.stop(), CLOSE_WITHIN_S)
        return
    except (TimeoutError, KafkaError) as error:
        why: Exception = error
    if member and not is_static and admin is not None:
        try:
            await asyncio.wait_for(_tell(admin, group, member), TELL_WITHIN_S)
            return
        except (TimeoutError, KafkaError, OSError) as error:
            why = error
    logger.warning("group %s: the broker does not hear that we leave: %r", group, why)


async def _tell(admin: AIOKafkaAdminClient, group: str, member: str) -> None:
    node = await admin.find_coordinator(group)
    await admin._send_request_to_node(node, LeaveGroupRequest(group, member))
