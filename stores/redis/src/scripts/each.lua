for at = 1, #keys do
  local key, found, answer = keys[at], all[at], nil
