"""Reference implementation that tries every pair."""

from algorithm.quadratic_primes import Answer


def find(limit: int) -> Answer:
    """Return the expected result of `algorithm.quadratic_primes.find`."""
    best = Answer(limit, 0, 0, ())
    for a in range(1 - limit, limit):
        for b in range(2, limit + 1):
            primes = []
            n = 0
            while is_prime(value := n * n + a * n + b):
                primes.append(value)
                n += 1
            found = Answer(limit, a, b, tuple(primes))
            if rank(found) < rank(best):
                best = found
    return best


def rank(answer: Answer) -> tuple[int, int, int, int]:
    """Return a sort key that is smallest for the best answer."""
    return -answer.length, abs(answer.a), answer.b, answer.a


def is_prime(number: int) -> bool:
    if number < 2:
        return False
    divisor = 2
    while divisor * divisor <= number:
        if number % divisor == 0:
            return False
        divisor += 1
    return True
