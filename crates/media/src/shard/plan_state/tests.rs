use super::*;

/// Seats by (leg, bus); listeners by seat with their buses.
fn compiled(seats: &[(u32, u16)], listeners: &[&[u16]]) -> Compiled {
    let seats: Vec<Seat> =
        seats.iter().map(|&(index, bus)| Seat { bus, ..Seat::of(Some(Key { index, generation: 1 })) }).collect();
    let words = words_for(seats.len());
    let mut table = Listeners { words, ..Listeners::default() };
    for (class, buses) in listeners.iter().enumerate() {
        table.class_of.push(class as u16);
        let start = table.buses.len() as u32;
        table.buses.extend_from_slice(buses);
        table.classes.push(start..table.buses.len() as u32);
        let mut row = vec![0; words];
        for (at, seat) in seats.iter().enumerate() {
            if buses.contains(&seat.bus) {
                set(&mut row, at);
            }
        }
        table.audible.extend(row);
    }
    Compiled::new(1, 4, seats, Vec::new(), table, Vec::new())
}

fn withheld(plan: &Compiled, listener: usize, oldest: u64) -> Vec<usize> {
    plan.withheld(listener, &[u64::MAX; 2], |_| oldest).collect()
}

fn next(mut plan: Compiled, before: &Compiled, bound: u64) -> Compiled {
    plan.widen_from(before);
    plan.bind(bound);
    plan
}

#[test]
fn who_joins_hears_and_is_heard_only_from_then_on() {
    let first = next(compiled(&[(1, 0), (2, 0)], &[&[0], &[0]]), &Compiled::default(), 10);
    assert_eq!(withheld(&first, 0, 9), [1]);
    assert_eq!(withheld(&first, 0, 10), Vec::<usize>::new());
    let second = next(compiled(&[(1, 0), (2, 0), (3, 0)], &[&[0], &[0], &[0]]), &first, 20);
    assert_eq!(withheld(&second, 0, 15), [2], "the first pair keeps its own line");
    assert_eq!(withheld(&second, 2, 15), [0, 1]);
    assert_eq!(second.widened().collect::<Vec<_>>(), [0, 1, 2]);
}

#[test]
fn a_whisper_that_becomes_public_is_new_to_those_who_did_not_hear_it() {
    // Seat 2 whispers on bus 1 to seat 0, then speaks on bus 0 to both.
    let start = next(compiled(&[(1, 0), (2, 0), (3, 1)], &[&[0, 1], &[0], &[0]]), &Compiled::default(), 0);
    let public = next(compiled(&[(1, 0), (2, 0), (3, 0)], &[&[0], &[0], &[0]]), &start, 50);
    assert_eq!(withheld(&public, 1, 49), [2], "the customer hears no buffered whisper");
    assert_eq!(withheld(&public, 0, 49), Vec::<usize>::new(), "the agent heard it all along");
    let again = next(compiled(&[(1, 0), (2, 0), (3, 1)], &[&[0, 1], &[0], &[0]]), &public, 60);
    assert_eq!(withheld(&again, 1, 0), Vec::<usize>::new(), "narrowed: no pair left to be new");
    let public = next(compiled(&[(1, 0), (2, 0), (3, 0)], &[&[0], &[0], &[0]]), &again, 70);
    assert_eq!(withheld(&public, 1, 69), [2]);
}

#[test]
fn a_seat_taken_by_another_leg_inherits_nothing() {
    let start = next(compiled(&[(1, 0), (2, 0)], &[&[0], &[0]]), &Compiled::default(), 0);
    let other = next(compiled(&[(1, 0), (7, 0)], &[&[0], &[0]]), &start, 30);
    assert_eq!(withheld(&other, 0, 29), [1]);
    assert_eq!(withheld(&other, 1, 29), [0]);
}

#[test]
fn maturing_forgets_the_old_before_it_stops_comparing() {
    let mut plan = next(compiled(&[(1, 0), (2, 0)], &[&[0], &[0]]), &Compiled::default(), 10);
    let mut forgotten = Vec::new();
    for _ in 0..MATURE {
        assert_eq!(withheld(&plan, 0, 9), [1]);
        plan.mature(|key, mark| forgotten.push((key.index, mark)));
    }
    assert_eq!(forgotten, [(2, 10), (1, 10)]);
    assert!(!plan.has_new());
    assert!(withheld(&plan, 0, 9).is_empty());
}

#[test]
fn more_than_sixty_four_seats_keep_their_bits_apart() {
    let seats: Vec<(u32, u16)> = (0..100).map(|n| (n, u16::from(n >= 90))).collect();
    let everyone: Vec<&[u16]> = (0..100).map(|_| &[0u16][..]).collect();
    let start = next(compiled(&seats, &everyone), &Compiled::default(), 0);
    let open: Vec<(u32, u16)> = (0..100).map(|n| (n, 0)).collect();
    let plan = next(compiled(&open, &everyone), &start, 5);
    assert_eq!(withheld(&plan, 3, 4), (90..100).collect::<Vec<_>>());
    assert_eq!(withheld(&plan, 95, 4), (90..100).filter(|n| *n != 95).collect::<Vec<_>>());
}
