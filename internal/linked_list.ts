/** The links of a member of a {@linkcode LinkedList}; a node is in one list at a time. */
export abstract class ListNode<N> {
  prev: N | undefined = undefined;
  next: N | undefined = undefined;
}

/**
 * A doubly linked list through its members themselves, so that taking one out
 * of the middle (an aborted waiter, a dead idle socket) costs the same as
 * taking the first, and joining allocates nothing.
 */
export class LinkedList<N extends ListNode<N>> {
  head: N | undefined = undefined;
  tail: N | undefined = undefined;
  size = 0;

  push(node: N): void {
    const tail = this.tail;
    node.prev = tail;
    if (tail === undefined) this.head = node;
    else tail.next = node;
    this.tail = node;
    this.size++;
  }

  /** Inserts a node before another, or at the end. */
  insert(node: N, successor: N | undefined): void {
    if (successor === undefined) return this.push(node);
    const { prev } = successor;
    node.prev = prev;
    node.next = successor;
    if (prev === undefined) this.head = node;
    else prev.next = node;
    successor.prev = node;
    this.size++;
  }

  remove(node: N): void {
    const { prev, next } = node;
    if (prev === undefined) this.head = next;
    else prev.next = next;
    if (next === undefined) this.tail = prev;
    else next.prev = prev;
    node.prev = node.next = undefined;
    this.size--;
  }

  /** Iterates from head to tail; the member just yielded may be removed. */
  *[Symbol.iterator](): Generator<N> {
    let node = this.head;
    while (node !== undefined) {
      const next: N | undefined = node.next;
      yield node;
      node = next;
    }
  }
}
