"""Strict clients in threads, for what must hold while something happens to the daemon."""
import threading

from harness.policy import rcpt


class Load:
    """Clients that ask one request after another on persistent connections until stopped."""

    def __init__(self, connect, clients=8, request=None, reconnect=False):
        """reconnect: as Postfix does, ask again on a new connection when one is lost."""
        self.connect, self.request, self.reconnect = connect, request or rcpt, reconnect
        self.stopping, self.errors, self.answers, self.lost = threading.Event(), [], [], 0
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self._run, args=(number,))
                        for number in range(clients)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *exception):
        self.stop()

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join()

    def count(self):
        with self.lock:
            return len(self.answers)

    def _run(self, number):
        client, serial = None, 0
        try:
            client = self.connect()
            while not self.stopping.is_set():
                serial += 1
                client = self._ask(client, self.request(instance=f"{number}.{serial}"))
        except Exception as error:  # whatever it is, the test is to see it
            with self.lock:
                self.errors.append(repr(error))
        finally:
            if client is not None:
                client.close()

    def _ask(self, client, request):
        try:
            answer = client.request(request)
        except Exception:
            if not self.reconnect:
                raise
            client.close()
            client = self.connect()
            answer = client.request(request)
            with self.lock:
                self.lost += 1
        with self.lock:
            self.answers.append(answer)
        return client


def at_once(count, action):
    """Runs action(number) in that many threads that start together; the results in order."""
    barrier, results = threading.Barrier(count), [None] * count

    def run(number):
        barrier.wait()
        try:
            results[number] = action(number)
        except Exception as error:
            results[number] = error

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    failures = [result for result in results if isinstance(result, Exception)]
    assert not failures, failures
    return results
