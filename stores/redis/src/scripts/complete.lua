-- The attempt runs, with this function and digest: it is done. Anything else is returned as it is, and when.
-- For all keys: how what is done begins (3 bytes) and the length of the digest; the ttl (8 bytes) and the retention in
-- milliseconds (0: for ever). For each: the attempt; the lengths of digest, result and function as they were claimed (6 bytes
-- each); digest and function; the lengths of digest and result; the result.
local head, digest = sub(argv[1], 1, 3), 142 + sub(argv[1], 4)
local ttl, retention, now = sub(argv[2], 1, 8), sub(argv[2], 9), now()
local moments = pack('>I8', now) .. (retention == '0' and never or pack('>I8', now + retention * 1000))
-- Each:
  found = found or call('GET', key)
  local version, state = byte(found or '', 1, 2)
  if version == 1 and state == 0 and find(found, argv[last + 1], 5, true) == 5
      and find(found, argv[last + 2], 101, true) == 101 and find(found, argv[last + 3], 143, true) == 143
      and unpacked('>I8', found, 93) > now then
    local done = head .. sub(found, 4, 60) .. ttl .. sub(found, 69, 84) .. moments .. argv[last + 4]
      .. sub(found, 113, digest) .. argv[last + 5] .. sub(found, digest + 1)
    if retention == '0' then
      call('SET', key, done)
    else
      call('SET', key, done, 'PX', retention)
    end
    ended[#ended + 1], answer = key, now
  else
    answer = {found, now}
  end
